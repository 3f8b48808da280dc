import { createAuth } from '@tokenjar/client'

const auth = createAuth()

await auth.login({ username: 'ada', password: 'correct horse battery staple' })
const orders = await auth.fetch('/api/orders')

declare const letter: string
declare function showWarning(expiresAt: number, stay: () => void): void

const saved = await auth.fetch('/api/letters', { method: 'POST', headers: { 'Content-Type': 'text/markdown' }, body: letter, park: true })

const { onExpiring } = await import('@tokenjar/client')
onExpiring(auth, (expiresAt) => showWarning(expiresAt, () => auth.extend()))

export { orders, saved }
