export function sizes(of?: [name: string, contents: string, budget: number][]): Promise<{ name: string; bytes: number; budget: number }[]>
