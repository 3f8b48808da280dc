export const assetPath: string
export function asset(): Promise<string>
