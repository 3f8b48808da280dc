export { fakeServer, type FakeServer, type FakeServerOptions, type FakeUser, type Moment, type Seen } from './testing/fake-server.js'
