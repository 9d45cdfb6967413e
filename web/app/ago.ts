const format = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })
const units = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
] as const

/** `3 hours ago`. Clocks of two machines differ, so a time in the future counts as now. */
export function ago(at: string, now = Date.now()): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(at)) / 1_000))
  const [unit, size] = units.find(([, size]) => seconds >= size) ?? ['second', 1]
  return format.format(-Math.floor(seconds / size), unit)
}
