const format = new Intl.DateTimeFormat('en', { month: 'short', day: 'numeric', timeZone: 'UTC' })

/** `2026-11-24` as `Nov 24`. */
export function shortDay(day: string): string {
  return format.format(new Date(day))
}
