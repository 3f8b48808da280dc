import { useEffect, useRef } from 'react'

/** Names the page in its tab, and moves the focus to its heading, where those who do not see begin to read. */
export function usePageTitle(title: string) {
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    document.title = title + ' · Notes'
    heading.current?.focus()
  }, [title])
  return heading
}
