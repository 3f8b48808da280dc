import { onMounted, useTemplateRef } from 'vue'

/** Names the page in its tab, and moves the focus to its heading (`ref="heading"`), where those who do not see begin to read. */
export function usePageTitle(title: string) {
  const heading = useTemplateRef<HTMLHeadingElement>('heading')
  onMounted(() => {
    document.title = title + ' · Notes'
    heading.value?.focus()
  })
  return heading
}
