/* Lastmile, push/pushhttp */
import{useEffect as c,useRef as i}from"react";import{open as u}from"./push.js";const f=(n,e)=>{const t=i(e);t.current=e,c(()=>{const s=t.current,o=u(n,{...s,on:(...r)=>t.current.on(...r),state:(...r)=>t.current.state?.(...r),...s.reset&&{reset:()=>t.current.reset?.()}});return()=>o.close()},[n,String(e.actions),String(e.topics)])};export{f as useLastmile};
