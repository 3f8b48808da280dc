import { useAuth } from '@tokenjar/client/react'
import { useEffect, useState, type FormEvent } from 'react'
import { useAnnounce } from './announce'
import { explain } from './explain'
import { usePageTitle } from './usePageTitle'

export function NotePage() {
  const auth = useAuth()
  const announce = useAnnounce()
  const heading = usePageTitle('Note')
  const [note, setNote] = useState<string | null>(null)
  const [busy, setBusy] = useState(false)

  useEffect(() => {
    const gone = new AbortController()
    auth
      .fetch('/api/note', { signal: gone.signal })
      .then(async (response) => {
        if (!response.ok) return announce('The note cannot be had right now.')
        setNote((await response.json()).note)
      })
      .catch((error) => gone.signal.aborted || announce(explain(error)))
    return () => gone.abort()
  }, [auth, announce])

  async function save(event: FormEvent) {
    event.preventDefault()
    if (busy || note === null) return // aria-disabled stops nothing by itself
    setBusy(true)
    announce('')
    try {
      const response = await auth.fetch('/api/note', { method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ note }) })
      announce(response.ok ? 'Saved.' : 'The note was not saved.')
    } catch (error) {
      announce(explain(error))
    } finally {
      setBusy(false)
    }
  }

  return (
    <form className="card" onSubmit={save}>
      <h1 ref={heading} tabIndex={-1}>Your note</h1>
      <label className="field">
        Text
        <textarea value={note ?? ''} readOnly={note === null} onChange={(event) => setNote(event.target.value)} />
      </label>
      <div className="actions">
        <button className="button primary" aria-disabled={busy || note === null}>Save</button>
        <span className="soft">Only you and the service behind this page can read it.</span>
      </div>
    </form>
  )
}
