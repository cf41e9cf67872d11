import { program } from 'commander'

program.name('lapse').description('Makes everything that has a lifetime really end.')
await program.parseAsync()
