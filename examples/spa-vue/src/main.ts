import { createAuthPlugin, guardRouter } from '@tokenjar/client/vue'
import { createApp } from 'vue'
import App from './App.vue'
import { auth } from './auth'
import { router } from './router'
import './app.css'

// The page stays when its session ends: App.vue shows the form to sign in in front of it.
guardRouter(router, auth, { stay: true, signIn: (to) => ({ path: '/sign-in', query: { next: to.fullPath } }) })

createApp(App).use(createAuthPlugin(auth)).use(router).mount('#app')
