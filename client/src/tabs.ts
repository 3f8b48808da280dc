import type { Channel, Host } from './host.js'

/** What tabs tell each other: that something happened, never who, and no secret. */
export type Kind = 'refreshed' | 'signed-out' | 'changed' | 'active'

/** What goes with `refreshed`: times by this machine's clock, which all tabs share. */
export interface News {
  /** When the access token runs out. */
  access: number
  /** How long it lives in all. */
  full: number
  /** When the session ends if it is not used; 0 when that is not known. */
  expires: number
  /** It was renewed for nobody's sake. */
  passive: boolean
}

export interface Tabs {
  tell(kind: Kind, news?: News): void
  close(): void
}

/**
 * Connects this tab with the others. Messages come from pages of this origin alone. What has not the shape of a message is
 * dropped, and of the rest nothing is believed but times and that the user has signed out: the server is asked.
 */
export function connect(host: Host, name: string, receive: (kind: Kind, news: News) => void): Tabs {
  let channel: Channel | undefined
  try {
    channel = new host.BroadcastChannel!(name)
    channel.onmessage = ({ data }) => {
      const { kind, access, full, expires } = Object(data)
      if (/^(signed-out|changed|active)$/.test(kind) || (kind === 'refreshed' && [access, full, expires].every(Number.isFinite))) {
        receive(kind, data as News)
      }
    }
  } catch {
    // Not everywhere are there channels. Then the tab asks the server where it would have been told.
  }
  return {
    tell: (kind, news) => channel?.postMessage({ ...news, kind }),
    close() {
      channel?.close()
      channel = undefined // to tell something on a closed channel is an error
    },
  }
}
