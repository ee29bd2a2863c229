// trpolab, built from sources 46b5db7ca29559eec69ba5369216e6e19a65f98b4fd55ca74370ca9e62f84943
// With parts of three, uplot: see LICENSES.txt
var f=0;function i(r){let n=`${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}-${f++}`,a={};function o(e,t){e.type==="answer"&&e.view===n&&a[e.topic]?.(e,t)}return r.on("msg:custom",o),{ask(e,t={}){try{r.send({type:"ask",view:n,topic:e,have:t})}catch{}},tell(e,t={}){try{r.send({type:"tell",view:n,topic:e,said:t})}catch{}},on(e,t){a[e]=t},close(){r.off("msg:custom",o)}}}function s(){}function l(){}function c(){}var p=`.trpolab-web-gone::after {
  content: "its kernel was restarted or shut down: what was drawn stays; run the cell again for a live view";
  display: block; color: #D55E00; font: 600 13px var(--jp-ui-font-family, sans-serif);
}
.trpolab .trpolab-web-gone::after { display: none; }
`;var m={charts:s,player:l,trust_region:c};document.head.appendChild(document.createElement("style")).textContent=p;function M(r,{model:n,el:a}){let o=i(n),e=m[r]({channel:o,el:a,model:n});return()=>{o.close(),e?.()}}export{M as render};
