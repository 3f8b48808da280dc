import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [vue()],
  // tokenjar stands in front, also while you develop (docs/howto/vite.md).
  server: { host: '127.0.0.1', port: 5173, strictPort: true },
})
