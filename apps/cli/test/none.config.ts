import { defineConfig } from 'lapse'

/** No kinds beside the built-in ones. */
export default defineConfig({})
