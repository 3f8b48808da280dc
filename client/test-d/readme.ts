import { createAuth } from '@tokenjar/client'

const auth = createAuth()

await auth.login({ username: 'ada', password: 'correct horse battery staple' })
const orders = await auth.fetch('/api/orders')

export { orders }
