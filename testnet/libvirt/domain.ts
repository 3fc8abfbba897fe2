/** A libvirt guest as XML. Pure. */

export interface DomainOptions {
  name: string
  memoryMiB: number
  /** Files at the same path on every host. */
  kernel: string
  initramfs: string
  /** File of its serial console, at the same path on every host. */
  serial: string
  /** Its pages must not be merged with other guests' (`nosharepages`); default false. */
  isPrivate?: boolean
  /** It has a device that libvirt does not know: a destination without it cannot load the guest. */
  oddDevice?: boolean
}

/** The machine of the lab's other guests, see machine.ts, reduced to what tests need. */
export function domainXml(
  { name, memoryMiB, kernel, initramfs, serial, isPrivate = false, oddDevice = false }: DomainOptions,
): string {
  return `<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>${name}</name>
  <memory unit='MiB'>${memoryMiB}</memory>
  ${isPrivate ? '<memoryBacking><nosharepages/></memoryBacking>' : ''}
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type>
    <kernel>${kernel}</kernel>
    <initrd>${initramfs}</initrd>
    <cmdline>console=ttyS0 panic=-1 no_timer_check pagemesh.work=idle</cmdline>
  </os>
  <cpu mode='custom'><model>qemu64</model><feature policy='require' name='rdrand'/></cpu>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <serial type='file'><source path='${serial}'/><target port='0'/></serial>
  </devices>
  ${oddDevice ? '<qemu:commandline><qemu:arg value="-device"/><qemu:arg value="pvpanic-pci"/></qemu:commandline>' : ''}
</domain>
`
}

/** The XML of a guest, as libvirt prints it, without the device of `oddDevice`. */
export function withoutOddDevice(xml: string): string {
  return xml.replace(/<qemu:commandline>.*?<\/qemu:commandline>/s, '')
}
