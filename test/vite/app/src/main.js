import './style.css'
import { greeting } from './greeting.js'

const show = (text) => { document.querySelector('#app').textContent = text }
show(greeting)
document.querySelector('#app').addEventListener('click', () => import('./more.js').then((m) => show(m.more)))

if (import.meta.hot) {
  import.meta.hot.accept('./greeting.js', (next) => show(next.greeting))
}
