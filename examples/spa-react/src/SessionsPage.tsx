import type { Session } from '@tokenjar/client'
import { useCallback, useEffect, useState, type FormEvent } from 'react'
import { useAnnounce } from './announce'
import { sessions } from './auth'
import { explain } from './explain'
import { usePageTitle } from './usePageTitle'

export function SessionsPage() {
  const announce = useAnnounce()
  const heading = usePageTitle('Sessions')
  const [list, setList] = useState<Session[] | null>(null)

  const load = useCallback(async (signal?: AbortSignal) => setList(await sessions.list({ signal })), [])
  useEffect(() => {
    const gone = new AbortController()
    load(gone.signal).catch((error) => gone.signal.aborted || announce(explain(error)))
    return () => gone.abort()
  }, [load, announce])

  /** Does something, shows the list as it is then, and says how it went. The button that was pressed may be gone: the heading stays. */
  async function change(work: () => Promise<string>) {
    try {
      const said = await work()
      await load()
      announce(said)
      heading.current?.focus()
    } catch (error) {
      announce(explain(error))
    }
  }

  const others = list?.filter((session) => !session.current).length ?? 0
  return (
    <section className="card">
      <h1 ref={heading} tabIndex={-1}>Where you are signed in</h1>
      {list ? (
        <ul>
          {list.map((session) => (
            <Item key={session.id} session={session} change={change} />
          ))}
        </ul>
      ) : (
        <p className="soft">One moment …</p>
      )}
      {others > 0 && (
        <div className="actions">
          <button
            type="button"
            className="button danger"
            onClick={() => change(async () => ((await sessions.endOthers()) === 1 ? 'The other session has ended.' : 'All other sessions have ended.'))}
          >
            End all others
          </button>
        </div>
      )}
    </section>
  )
}

function Item({ session, change }: { session: Session; change: (work: () => Promise<string>) => Promise<void> }) {
  const what = session.name || session.user_agent || 'An unknown device'

  function rename(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const name = String(new FormData(event.currentTarget).get('name')).trim()
    void change(async () => {
      await sessions.name(session.id, name)
      return name ? `The session is called ${name} now.` : 'The session has no name any more.'
    })
  }

  return (
    <li className="session">
      <div className="session-facts">
        <strong>{what}</strong>
        {session.current && <span className="badge">this one</span>}
        <p className="soft">
          {session.ip}, last used <time dateTime={session.last_used_at}>{new Date(session.last_used_at).toLocaleString()}</time>
        </p>
      </div>
      <form onSubmit={rename}>
        <label className="field">
          Name
          <input name="name" defaultValue={session.name} maxLength={100} />
        </label>
        <button className="button" aria-label={`Name ${what}`}>Name</button>
        {!session.current && (
          <button
            type="button"
            className="button danger"
            aria-label={`End ${what}`}
            onClick={() => change(async () => (await sessions.end(session.id), 'The session has ended.'))}
          >
            End
          </button>
        )}
      </form>
    </li>
  )
}
