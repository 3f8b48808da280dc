import { createRouter, createWebHistory } from 'vue-router'
import NotePage from './NotePage.vue'
import SessionsPage from './SessionsPage.vue'
import SignInPage from './SignInPage.vue'

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: '/', component: NotePage, meta: { requiresAuth: true } },
    { path: '/sessions', component: SessionsPage, meta: { requiresAuth: true } },
    { path: '/sign-in', component: SignInPage },
    { path: '/:rest(.*)', redirect: '/' },
  ],
})
