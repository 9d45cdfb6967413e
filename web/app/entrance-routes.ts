const entrance = /^\/sign-(in|up)(\/|$)/

/** Whether this is a page for who is not signed in: one of the two, or what is under it. */
export function isEntrance(pathname: string): boolean {
  return entrance.test(pathname)
}
