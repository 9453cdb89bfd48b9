// The one tool this page has: its clock. It shows what a call looks like, and what a client does with it.

export const CLOCK = {
  type: "function",
  name: "get_current_time",
  description: "The date and time where the user is, and their time zone.",
  parameters: { type: "object", properties: {}, required: [], additionalProperties: false },
};

// The output of a call, as an item to send back.
export function run(call) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const output =
    call.name === CLOCK.name
      ? JSON.stringify({ time: new Date().toString(), time_zone: zone })
      : `There is no tool called ${call.name} here.`;
  return { type: "function_call_output", call_id: call.call_id, output };
}
