import { createAuth } from '@tokenjar/client'

const auth = createAuth()

await auth.login({ username: 'ada', password: 'correct horse battery staple' })
const orders = await auth.fetch('/api/orders')

import { onExpiring } from '@tokenjar/client'

declare const letter: string
declare function showWarning(expiresAt: number, stay: () => void): void

const saved = await auth.fetch('/api/letters', { method: 'POST', body: letter, park: true })

onExpiring(auth, (expiresAt) => showWarning(expiresAt, () => auth.extend()))

export { orders, saved }
