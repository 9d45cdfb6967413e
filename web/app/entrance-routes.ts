const entrance = /^\/sign-(in|up)(\/|$)/

/** Whether this is a page for signed-out visitors: sign-in, sign-up, or a route below one. */
export function isEntrance(pathname: string): boolean {
  return entrance.test(pathname)
}
