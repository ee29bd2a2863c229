import "./three.js";

export function renderPlayer() {}
