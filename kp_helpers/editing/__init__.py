"""Pictures edited by words: Prompt-to-Prompt, and InstructPix2Pix on the figures world."""
