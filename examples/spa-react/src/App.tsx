import { RequireAuth, useAuth, useSession } from '@tokenjar/client/react'
import { Navigate, NavLink, Outlet, Route, Routes, useLocation } from 'react-router'
import { explain } from './explain'
import { IdleWarning } from './IdleWarning'
import { NotePage } from './NotePage'
import { SessionsPage } from './SessionsPage'
import { SignInAgain } from './SignInAgain'
import { SignInPage } from './SignInPage'
import { Announcer, useAnnounce } from './announce'

export function App() {
  return (
    <Announcer>
      <a className="skip" href="#main">Skip to content</a>
      <Header />
      <main id="main" tabIndex={-1}>
        <Routes>
          <Route path="/sign-in" element={<SignInPage />} />
          <Route element={<Private />}>
            <Route path="/" element={<NotePage />} />
            <Route path="/sessions" element={<SessionsPage />} />
          </Route>
          <Route path="*" element={<Navigate to="/" replace />} />
        </Routes>
      </main>
    </Announcer>
  )
}

/** The pages of whoever is signed in. When the session ends the page stays, with the form to sign in in front of it. */
function Private() {
  const { pathname, search } = useLocation()
  return (
    <RequireAuth
      pending={<p className="waiting">One moment …</p>}
      fallback={<Navigate to={'/sign-in?next=' + encodeURIComponent(pathname + search)} replace />}
      expired={<SignInAgain />}
    >
      <IdleWarning />
      <Outlet />
    </RequireAuth>
  )
}

function Header() {
  const auth = useAuth()
  const { user } = useSession()
  const announce = useAnnounce()
  const signOut = () => auth.logout().then(() => announce('You are signed out.'), (error) => announce(explain(error)))
  return (
    <header className="bar">
      <p className="brand"><img src="/mark.svg" alt="" /> Notes</p>
      {user && (
        <>
          <nav aria-label="Pages">
            <NavLink to="/" end>Note</NavLink>
            <NavLink to="/sessions">Sessions</NavLink>
          </nav>
          <div className="bar-end">
            <span>{user.username}</span>
            <button type="button" className="button small" onClick={signOut}>Sign out</button>
          </div>
        </>
      )}
    </header>
  )
}
