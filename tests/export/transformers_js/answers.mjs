// Answer prompts greedily with transformers.js from a bundle's folder, in Node or on a page.
//
// The request:
//   dtype       of all sessions; left out: what config.json says
//   new_tokens  how many at most
//   prompts     each is either what the model takes or what a person gives:
//     input_ids, and for a picture pixel_values (a file of float32) in pixel_shape
//     question, and for a picture rgb (a file of height * width * 3 bytes) with height, width and split (tiles or not)
import {
  AutoConfig,
  AutoModelForCausalLM,
  AutoModelForImageTextToText,
  AutoProcessor,
  AutoTokenizer,
  RawImage,
  Tensor,
} from "@huggingface/transformers";

function ones(type, shape) {
  const size = shape.reduce((product, side) => product * side, 1);
  return new Tensor(type, type === "bool" ? new Uint8Array(size).fill(1) : new BigInt64Array(size).fill(1n), shape);
}

async function given({ input_ids, pixel_values, pixel_shape }, bytes) {
  const shape = [1, input_ids.length];
  const inputs = {
    input_ids: new Tensor("int64", BigInt64Array.from(input_ids, BigInt), shape),
    attention_mask: ones("int64", shape),
  };
  if (pixel_values) {
    inputs.pixel_values = new Tensor("float32", new Float32Array((await bytes(pixel_values)).buffer), pixel_shape);
    if (pixel_shape.length === 5) {
      const [batch, tiles, , height, width] = pixel_shape;
      inputs.pixel_attention_mask = ones("bool", [batch, tiles, height, width]);
    }
  }
  return inputs;
}

async function processed({ question, rgb, height, width, split }, bytes, folder, tokenizer, seesPictures) {
  const text = { type: "text", text: question };
  // Templates of models that see pictures walk over parts, those of others add up strings.
  const content = seesPictures ? (rgb ? [{ type: "image" }, text] : [text]) : question;
  const options = { add_generation_prompt: true, tokenize: false };
  const prompt = tokenizer.apply_chat_template([{ role: "user", content }], options);
  if (!rgb) return tokenizer(prompt, { add_special_tokens: false }); // the template has written them
  const processor = await AutoProcessor.from_pretrained(folder);
  const picture = new RawImage(await bytes(rgb), width, height, 3);
  return await processor(prompt, [picture], { do_image_splitting: split });
}

/**
 * A list with an object for each prompt. `bytes` reads a file into a buffer of its own: a view of float32 needs an aligned
 * start. `device` is one of transformers.js's.
 */
export async function answer(folder, { dtype, new_tokens, prompts }, bytes, device) {
  const { model_type } = await AutoConfig.from_pretrained(folder);
  const seesPictures = AutoModelForImageTextToText.supports(model_type);
  const Model = seesPictures ? AutoModelForImageTextToText : AutoModelForCausalLM;
  const tokenizer = await AutoTokenizer.from_pretrained(folder);
  // One thread: nothing here is large, and results must not depend on the machine.
  const model = await Model.from_pretrained(folder, { dtype, device, session_options: { intraOpNumThreads: 1 } });
  const answers = [];
  for (const prompt of prompts) {
    const inputs = prompt.input_ids ? await given(prompt, bytes) : await processed(prompt, bytes, folder, tokenizer, seesPictures);
    const { input_ids, attention_mask, pixel_values, pixel_attention_mask } = inputs;
    const sequences = await model.generate({
      input_ids,
      attention_mask,
      ...(pixel_values && { pixel_values }),
      ...(pixel_attention_mask && { pixel_attention_mask }),
      max_new_tokens: new_tokens,
      do_sample: false,
    });
    const prompt_ids = Array.from(input_ids.data, Number);
    const token_ids = Array.from(sequences.data, Number).slice(prompt_ids.length);
    answers.push({ prompt_ids, token_ids, pixel_shape: pixel_values?.dims ?? null });
  }
  await model.dispose();
  return answers;
}
