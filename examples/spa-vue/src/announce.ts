import { readonly, ref } from 'vue'

const text = ref('')

/** What the page says last of how things went; App.vue shows it. */
export const announced = readonly(text)

/** Says something, to those who see and to those who listen. */
export function announce(said: string) {
  text.value = said
}
