/** The cookies of one request to a server that renders pages: what the browser sent, and what it has to be told. */
export interface Cookies {
  /** The `Cookie` header as the browser would send it now. */
  readonly header: string
  /** The `Set-Cookie` lines for the browser, in order. Each is a header of its own: a comma does not join them. */
  readonly lines: readonly string[]
  /** Takes over what an answer sets. */
  receive(lines: readonly string[]): void
}

export function createCookies(sent: string): Cookies {
  let pairs = sent.split(/; */).filter(Boolean)
  const lines = new Map<string, string>()
  return {
    get header() {
      return pairs.join('; ')
    },
    get lines() {
      return [...lines.values()]
    },
    receive(received) {
      for (const line of received) {
        const [pair = '', ...attributes] = line.split(/; */)
        const name = pair.split('=')[0]!
        const attribute = (wanted: string) => attributes.find((a) => a.toLowerCase().startsWith(wanted + '='))?.slice(wanted.length + 1)
        pairs = pairs.filter((p) => !p.startsWith(name + '='))
        const age = attribute('max-age')
        const gone = age ? Number(age) <= 0 : Date.parse(attribute('expires') ?? '') <= Date.now()
        if (!gone) pairs.push(pair)
        // Of two lines for one cookie the browser would keep the last, in an answer that should not have both.
        const key = JSON.stringify([name, attribute('domain'), attribute('path')])
        lines.delete(key)
        lines.set(key, line)
      }
    },
  }
}
