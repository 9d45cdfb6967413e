import './glyph.css'

const paths = {
  good: 'M5 10.5l3.2 3.2L15 7',
  warning: 'M10 5.5v5.5M10 14.2v.3',
  bad: 'M6.5 6.5l7 7M13.5 6.5l-7 7',
  neutral: 'M6 10h8',
}

export type Tone = keyof typeof paths

/** Shows the tone by its shape, not only by colour. Hidden, because the text beside it says it. */
export function Glyph({ tone }: { tone: Tone }) {
  return (
    <svg className="glyph" viewBox="0 0 20 20" aria-hidden="true">
      {tone === 'warning' ? (
        <path className="glyph-body" d="M10 1.8l8.7 15.4H1.3z" />
      ) : (
        <circle className="glyph-body" cx="10" cy="10" r="8.7" />
      )}
      <path className="glyph-line" d={paths[tone]} />
    </svg>
  )
}

/** A ring with a gap, and a check mark that closes it. `icon.svg` is the same. */
export function Mark() {
  return (
    <svg className="mark" viewBox="0 0 24 24" aria-hidden="true">
      <path className="mark-ring" d="M17.5 4.6A9.2 9.2 0 1 0 21.1 10" />
      <path className="mark-stitch" d="M8 12.2l3 3L20 6" />
    </svg>
  )
}
