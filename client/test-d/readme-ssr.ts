import { createServerAuth, type ServerAuth } from '@tokenjar/client/ssr'

declare function render(server: ServerAuth): string

export async function answer(request: Request): Promise<Response> {
  const server = await createServerAuth({
    baseUrl: 'https://app.example.com',
    cookie: request.headers.get('Cookie'),
    origin: request.headers.get('Origin'),
  })
  const html = render(server) // with server.auth, and server.json in <script type="application/json" id="session">
  return new Response(html, { headers: [['Content-Type', 'text/html; charset=utf-8'], ...server.headers()] })
}
