export const more = 'more'
