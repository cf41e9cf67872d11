/** A user as events name who did it. */
export const actorOf = (user: { readonly id: string }): string => `user:${user.id}`
