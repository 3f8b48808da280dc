import axios from 'axios'

export const api = axios.create({
  xsrfCookieName: location.protocol === 'https:' ? '__Host-csrftoken' : 'csrftoken',
  xsrfHeaderName: 'X-CSRFToken',
})
