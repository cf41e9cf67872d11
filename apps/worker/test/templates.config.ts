import { defineConfig, usualLetter } from 'lapse'

// An application that writes its own mails, one of them with a mistake in it.
export default defineConfig({
  mail: {
    templates: {
      trial: {
        revoked: usualLetter,
        grace: null,
        expired: ({ resource }) => {
          throw new Error(`there is no plan ${resource.payload.plan}`)
        },
      },
    },
  },
})
