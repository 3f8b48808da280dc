import type { Host } from './host.js'

/** When the tokens run out, by this machine's clock, which all tabs share. */
export interface Life {
  /** `access_expiration` of the newest access token known: names it without being it. */
  known: string
  /** When it runs out, in milliseconds; 0 when there is none, and the next request renews. */
  access: number
  /** How long it lived in all, in milliseconds. */
  full: number
  /** When the session ends if it is not used; null when that is not known. */
  expires: number | null
}

/** What tabs tell each other: that something happened, never who, and no secret. */
export type Message =
  | ({ kind: 'refreshed'; passive: boolean } & Life)
  | { kind: 'signed-in' | 'signed-out' | 'user-changed' | 'ended' | 'active' }

const kinds = ['refreshed', 'signed-in', 'signed-out', 'user-changed', 'ended', 'active']

/** Connects this tab with the others. Messages come from pages of this origin alone; what has another shape is dropped. */
export function connect(host: Host, name: string, receive: (message: Message) => void): { tell(message: Message): void; close(): void } {
  let channel: InstanceType<NonNullable<Host['BroadcastChannel']>> | undefined
  try {
    if (host.location && host.BroadcastChannel) channel = new host.BroadcastChannel(name)
  } catch {
    // An opaque origin has no channels. The tab then asks the server where it would have been told.
  }
  if (channel) {
    channel.onmessage = ({ data }) => {
      if (isMessage(data)) receive(data)
    }
  }
  return {
    tell: (message) => channel?.postMessage(message),
    close: () => channel?.close(),
  }
}

function isMessage(data: unknown): data is Message {
  const m = data as Partial<Life> & { kind?: string }
  return (
    !!m &&
    kinds.includes(m.kind!) &&
    (m.kind !== 'refreshed' ||
      (typeof m.known === 'string' && [m.access, m.full, m.expires ?? 0].every((time) => Number.isFinite(time))))
  )
}
