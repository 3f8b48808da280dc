export default {
  server: {
    host: '127.0.0.1', // nobody else's to reach: it serves your sources
    port: 5173,
    strictPort: true, // or it would move to another one, where nobody looks for it
  },
}
