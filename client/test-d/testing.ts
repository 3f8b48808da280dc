import { createAuth } from '@tokenjar/client'
import { fakeServer } from '@tokenjar/client/testing'

const server = fakeServer()
const auth = createAuth({ baseUrl: 'http://localhost', fetch: server.fetch })
await auth.login({ username: 'ada', password: 'secret' })
server.advanceTo('access-expired')
const answer = await auth.fetch('/api/orders')

export { answer }
