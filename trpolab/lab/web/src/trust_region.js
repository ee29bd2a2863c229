export function renderTrustRegion() {}
