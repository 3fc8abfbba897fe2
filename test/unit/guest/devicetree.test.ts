import { strict as assert } from 'node:assert'

import { listDevices, parseDeviceTree } from '../../../src/guest/devicetree.ts'

/** Shortened from QEMU 7.2.22. */
const TREE = `bus: main-system-bus
  type System
  dev: hpet, id ""
    timers = 3 (0x3)
  dev: i440FX-pcihost, id ""
    bypass-iommu = false
    bus: pci.0
      type PCI
      dev: virtio-scsi-pci, id "s0"
        addr = 03.0
        romfile = ""
        class SCSI controller, addr 00:03.0, pci id 1af4:1004 (sub 1af4:0008)
        bus: virtio-bus
          type virtio-pci-bus
          dev: virtio-scsi-device, id ""
            num_queues = 1 (0x1)
            bus: s0.0
              type SCSI
              dev: scsi-hd, id ""
                drive = "d0"
                channel = 0 (0x0)
                scsi-id = 2 (0x2)
                lun = 1 (0x1)
      dev: usb-ehci, id ""
        addr = 04.0
        bus: usb-bus.0
          type usb-bus
          dev: usb-tablet, id ""
            port = ""
            addr 0.0, port 1, speed 480, name QEMU USB Tablet, attached
      dev: virtio-serial-pci, id ""
        addr = 05.0
        bus: virtio-bus
          type virtio-pci-bus
          dev: virtio-serial-device, id ""
            max_ports = 31 (0x1f)
            bus: virtio-serial0.0
              type virtio-serial-bus
              dev: virtserialport, id ""
                chardev = ""
                nr = 1 (0x1)
                port 1, guest off, host off, throttle off
      dev: piix3-ide, id ""
        addr = 01.1
        bus: ide.1
          type IDE
          dev: ide-cd, id ""
            unit = 0 (0x0)
        bus: ide.0
          type IDE
      dev: PIIX3, id ""
        addr = 01.0
        bus: isa.0
          type ISA
          dev: isa-serial, id ""
            index = 0 (0x0)
            iobase = 1016 (0x3f8)
          dev: port92, id ""
            gpio-out "a20" 1
  dev: kvmvapic, id ""
`

describe('info qtree', () => {
  const devices = parseDeviceTree(TREE)

  it('shows the devices with their places, without those of the board and without inner halves', () => {
    assert.deepEqual(devices.map(({ type, place }) => `${type}: ${place}`), [
      'PIIX3: slot 01.0',
      'port92: slot 01.0',
      'isa-serial: slot 01.0, port 0x3f8',
      'piix3-ide: slot 01.1',
      'ide-cd: slot 01.1, unit 0',
      'virtio-scsi-pci: slot 03.0',
      'scsi-hd: slot 03.0, unit 0:2:1',
      'usb-ehci: slot 04.0',
      'usb-tablet: slot 04.0, port 1',
      'virtio-serial-pci: slot 05.0',
      'virtserialport: slot 05.0, port 1',
    ])
  })

  it('of something else has no devices', () => {
    assert.deepEqual(parseDeviceTree(''), [])
    assert.deepEqual(parseDeviceTree('unknown command: \'info qtree\'\n'), [])
  })

  it('takes no more memory than any machine needs, however long its places and deep its nesting are', () => {
    const nested = Array.from({ length: 3000 }, (_, depth) => `${' '.repeat(depth)}dev: a, id ""`).join('\n')
    assert.ok(parseDeviceTree(nested).length <= 32)
    const bus = `dev: host, id ""\n dev: bus, id ""\n  addr = ${'9'.repeat(100_000)}\n`
    const found = parseDeviceTree(bus + '   dev: a, id ""\n'.repeat(20_000))
    assert.ok(found.length <= 10_001 && found.every(({ place }) => place.length < 200))
  })

  it('says the same whatever the devices and buses are called', () => {
    const renamed = TREE.replaceAll('s0.0', 'other.0').replace('id "s0"', 'id "net7"').replaceAll('\n', '\r\n')
    assert.deepEqual(parseDeviceTree(renamed), devices)
  })

  it('is cut with a digest over all of it', () => {
    const whole = listDevices(devices, 100)
    const cut = listDevices(devices, 2)
    assert.deepEqual([whole.listed.length, whole.count, cut.listed.length, cut.count], [11, 11, 2, 11])
    assert.equal(cut.digest, whole.digest)
    assert.notEqual(listDevices(devices.slice(1), 2).digest, whole.digest)
  })
})
