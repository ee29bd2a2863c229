export function renderCharts() {}
