// Loaded before an app that a command starts (node --import): when the command is gone, killed even, the app stops too.
process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'))
// Listening alone must not keep the app alive.
process.channel?.unref()
