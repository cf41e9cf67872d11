/** In rising order, as PostgreSQL has them too. */
export const roles = ['member', 'admin', 'owner'] as const
export type Role = (typeof roles)[number]

export const roleRank = (role: Role): number => roles.indexOf(role)
