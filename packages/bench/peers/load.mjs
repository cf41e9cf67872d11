/** Imports what is installed here, and not what another package of that name is elsewhere. */
export const load = (name) => import(name)
