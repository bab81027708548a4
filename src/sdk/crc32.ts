/** CRC-32 (IEEE 802.3, reflected polynomial 0xEDB88320), the checksum of the depth channel. */

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** Of ASCII text, as an unsigned 32-bit integer. */
export function crc32(text: string): number {
  let checksum = 0xffffffff;
  for (let index = 0; index < text.length; index++) {
    checksum = (checksum >>> 8) ^ (TABLE[(checksum ^ text.charCodeAt(index)) & 0xff] ?? 0);
  }
  return (checksum ^ 0xffffffff) >>> 0;
}
