// The canvas as plain HTML, where a kernel's function is called by name, as in Colab.
const toBitmap = async (url) => createImageBitmap(await (await fetch(url)).blob());

function start(root, { state, picture, callback }) {
  let show = () => {};
  mount(root, {
    state,
    picture: () => toBitmap(picture),
    onReply: (given) => {
      show = given;
    },
    send: async (message) => {
      const result = await google.colab.kernel.invokeFunction(callback, [message], {});
      const reply = result.data["application/json"];
      show(reply, reply.answer ? await toBitmap(reply.answer) : null);
    },
  });
}
