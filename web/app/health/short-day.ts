const format = new Intl.DateTimeFormat('en', { month: 'short', day: 'numeric', timeZone: 'UTC' })

/** `Nov 24` of `2026-11-24`. */
export function shortDay(day: string): string {
  return format.format(new Date(day))
}
