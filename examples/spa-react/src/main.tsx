import { AuthProvider } from '@tokenjar/client/react'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { BrowserRouter } from 'react-router'
import { App } from './App'
import { auth } from './auth'
import './app.css'

createRoot(document.getElementById('app')!).render(
  <StrictMode>
    <AuthProvider auth={auth}>
      <BrowserRouter>
        <App />
      </BrowserRouter>
    </AuthProvider>
  </StrictMode>,
)
